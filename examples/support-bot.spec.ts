import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSupportBot, writeSupportBot } from './support-bot';
import { CONFUSABLE, INTENTS, SLOTS } from './support-bot-intents';

describe('support bot example data', () => {
  const data = generateSupportBot();
  const all = [...data.train, ...data.dev, ...data.test];

  it('has 20 intents in every split and no text twice', () => {
    expect([data.train.length, data.dev.length, data.test.length]).toEqual([2800, 400, 800]);
    for (const rows of Object.values(data)) expect(new Set(rows.map((row) => row.label)).size).toBe(20);
    expect(new Set(all.map((row) => row.text.toLowerCase())).size).toBe(all.length);
  });

  it('depends on the seed alone', () => {
    expect(generateSupportBot({ rows: 50, seed: 3 })).toEqual(generateSupportBot({ rows: 50, seed: 3 }));
    expect(generateSupportBot({ rows: 50, seed: 3 })).not.toEqual(generateSupportBot({ rows: 50, seed: 4 }));
  });

  it('fills every slot and leaves no grammar behind', () => {
    for (const { text } of all) expect(text).not.toMatch(/[(){}|\t\n]|undefined| {2}|^ | $/);
    const used = Object.values(INTENTS).flatMap((patterns) => patterns.join().match(/(?<=\{)\w+/g) ?? []);
    expect(Object.keys(SLOTS).sort()).toEqual([...new Set(used)].sort());
    for (const [intent, partner] of Object.entries(CONFUSABLE)) {
      expect(Object.keys(INTENTS)).toEqual(expect.arrayContaining([intent, partner]));
    }
  });

  it('writes one file with a header for each split', () => {
    const folder = writeSupportBot(join(mkdtempSync(join(tmpdir(), 'bot-')), 'data'), { rows: 100 });
    const lines = readFileSync(join(folder, 'test.tsv'), 'utf8').split('\n');
    expect(lines[0]).toBe('text\tlabel');
    expect(lines).toHaveLength(22);
    expect(lines[1].split('\t')).toHaveLength(2);
  });
});
