/** @file Bounds on uploaded data. Generous for real data sets, fatal for bombs. */

/** Longest line or CSV record, in UTF-16 units: a longer one is nearly always an unclosed quote or no text at all. */
export const MAX_ROW_LENGTH = 1_000_000;
/** Files in a folder or archive. */
export const MAX_FILES = 10_000;
/** Bytes of a file that has to be parsed as a whole (JSON, YAML). */
export const MAX_WHOLE_FILE_BYTES = 2 ** 28;
/** Bytes that one compressed file, or all files of an archive together, may unpack to. */
export const MAX_EXPANDED_BYTES = 2 ** 34;
/** Unpacked over packed size, once `RATIO_FREE_BYTES` are exceeded: text packs 3 to 20 times, bombs 1,000 times. */
export const MAX_EXPANSION_RATIO = 100;
export const RATIO_FREE_BYTES = 2 ** 24;
