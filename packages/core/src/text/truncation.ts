/**
 * How many tokens of each text of a pair remain within `room` tokens, "longest first" as Hugging Face's tokenizers do
 * it: the longer text is cut down to the shorter one, then both evenly. An odd token goes to the longer text, and to
 * the second when both reach `maxLength` (the room and the special tokens), where lengths are no longer compared.
 */
export function truncatePair(
  firstLength: number,
  secondLength: number,
  room: number,
  maxLength: number,
): [first: number, second: number] {
  const first = Math.min(firstLength, maxLength);
  const second = Math.min(secondLength, maxLength);
  if (first + second <= room) return [first, second];
  const short = Math.min(first, second, Math.floor(room / 2));
  const long = room - short;
  return first > second ? [long, short] : [short, long];
}
