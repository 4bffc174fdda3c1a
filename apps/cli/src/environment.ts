/** @file The environment of the command. Nothing else in this package reads it. */

export interface CliEnvironment {
  /** Address of a server; without it commands talk to the stack of this folder. */
  readonly url: string | undefined;
  readonly key: string | undefined;
  /** Folder of the embedded stack. */
  readonly home: string;
  /** Token for models and data sets of the hub that are not public. */
  readonly hubToken: string | undefined;
  /** What child processes inherit. */
  readonly inherited: NodeJS.ProcessEnv;
}

/** An empty variable is one that is not set. */
const variable = (name: string): string | undefined => process.env[name] || undefined;

export const readEnvironment = (): CliEnvironment => ({
  url: variable('MODELPRESS_URL'),
  key: variable('MODELPRESS_API_KEY'),
  home: variable('MODELPRESS_HOME') ?? '.modelpress',
  hubToken: variable('HF_TOKEN'),
  inherited: process.env,
});
