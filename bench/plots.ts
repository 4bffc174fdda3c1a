/**
 * @file Cuts one plot out of a job's report, as an SVG file that stands by itself: the plots of docs/ are made so.
 *
 *   node --require ./tools/register-typescript.cjs bench/plots.ts --report report.json --title 'Macro F1 by prune target' \
 *     --out docs/plots/prune-sparsity.svg
 *
 * The report is what `modelpress run --json FILE` writes. Without --title the titles of its plots are listed.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { renderReports } from '../packages/core/src/report';
import type { VariantReport } from '../packages/core/src/report';

const { values: args } = parseArgs({
  options: { report: { type: 'string' }, title: { type: 'string' }, out: { type: 'string' } },
});

const COLOURS = ['#2f62d8', '#c2570c', '#0e7f6d', '#8e44ad', '#a3770a', '#c0326a'];
const STYLE = `text{font:12px sans-serif;fill:#555}.grid{stroke:#ddd}.axis{stroke:#888}.mark{stroke:#888;stroke-dasharray:4 3}
.line{fill:none;stroke-width:2}.line.again{stroke-width:1;stroke-dasharray:6 3}
${COLOURS.map((colour, i) => `.line.s${i}{stroke:${colour}}.dot.s${i}{fill:${colour}}.name.s${i}{fill:${colour}}`).join('')}`;
const LEGEND_LINE = 18;

/** A plot of the page: its title, the names of its lines with their classes, and its SVG element. */
const PLOT =
  /<figcaption>([^<]*)<\/figcaption>\s*<div class="legend" aria-hidden="true">([\s\S]*?)<\/div>\s*(<svg[\s\S]*?<\/svg>)/g;

function main(): void {
  if (!args.report) throw new Error('Give --report.');
  const { variants } = JSON.parse(readFileSync(args.report, 'utf8')) as { variants: VariantReport[] };
  const plots = [...renderReports(variants).matchAll(PLOT)];
  const plot = plots.find(([, title]) => title === args.title);
  if (!args.title) return console.log(plots.map(([, title]) => title).join('\n'));
  if (!plot || !args.out) throw new Error(`Give --out, and one of the titles: ${plots.map(([, t]) => t).join('; ')}`);
  mkdirSync(dirname(args.out), { recursive: true });
  writeFileSync(args.out, standalone(plot[2], plot[3]));
}

function standalone(legend: string, svg: string): string {
  const names = [...legend.matchAll(/class="swatch ([^"]*)"><\/i>([^<]*)</g)];
  const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)!.map(Number);
  const lines = names.map(([, kind, name], i) => {
    return `<text class="name ${kind}" x="60" y="${height + LEGEND_LINE * (i + 1)}">${kind.includes('again') ? '- - ' : '— '}${name}</text>`;
  });
  const box = `viewBox="0 0 ${width} ${height + LEGEND_LINE * (names.length + 1)}"`;
  return `${svg
    .replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ')
    .replace(/viewBox="[^"]*"/, box)
    .replace('>', `><style>${STYLE}</style><rect width="100%" height="100%" fill="#fff"/>`)
    .replace('</svg>', `${lines.join('')}</svg>`)}\n`;
}

main();
