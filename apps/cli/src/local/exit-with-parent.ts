/** @file Loaded into every process of the local stack: when the command is gone, however it ended, so are they. */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
// The channel alone must not keep a process that has finished alive.
process.channel?.unref();
