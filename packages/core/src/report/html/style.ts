/** @file The page's style sheet. Colours are variables, so light, dark and print differ in one place. */
import { Markup } from './markup';

const CSS = `
:root{color-scheme:light dark;--paper:#fbfbfa;--card:#fff;--ink:#1b1f24;--quiet:#5d6670;--line:#e2e4e7;--good:#13713f;--good-bg:#e6f4ec;
--bad:#b3261e;--bad-bg:#fbeae9;--warn:#7a4b00;--warn-bg:#fff4de;--was:#a9b2bd;--now:#2f62d8;--heat-ink:#1c49b4;--hot:#fff;
--s0:#2f62d8;--s1:#c2570c;--s2:#0e7f6d;--s3:#8e44ad;--s4:#a3770a;--s5:#c0326a}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1b1f25;--ink:#e7eaee;--quiet:#9aa5b1;--line:#2d333b;--good:#5cc98d;--good-bg:#16301f;
--bad:#ff8a80;--bad-bg:#3a1c1a;--warn:#f2c36b;--warn-bg:#33270f;--was:#5b6570;--now:#7aa2ff;--heat-ink:#2f5fd0;--hot:#fff;
--s0:#7aa2ff;--s1:#ff9f5a;--s2:#4fd1bb;--s3:#cf9bea;--s4:#e3bf5b;--s5:#ff8ab5}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header,footer{max-width:1080px;margin:0 auto;padding:0 24px}
header{padding-top:36px}
h1{font-size:28px;line-height:1.2;margin:4px 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:17px;margin:0 0 12px}
h3{font-size:16px;margin:0}
h3 small{font-weight:400;color:var(--quiet);font-size:14px}
main>section{margin:36px 0}
a{color:inherit;text-underline-offset:3px}
.brand{font-size:13px;font-weight:600;letter-spacing:.04em;color:var(--quiet);margin:0}
.quiet{color:var(--quiet);font-size:13px;margin:4px 0}
.good{color:var(--good)}.bad{color:var(--bad)}
.pipeline{display:flex;flex-wrap:wrap;gap:6px 0;list-style:none;margin:16px 0 0;padding:0;font-size:13px}
.pipeline li{padding:3px 11px;border:1px solid var(--line);border-radius:99px;background:var(--card)}
.pipeline li+li{margin-left:26px;position:relative}
.pipeline li+li:before{content:"→";position:absolute;left:-20px;color:var(--quiet)}
.pipeline a{text-decoration:none}
.pipeline .failed,.pipeline .cancelled{border-color:var(--bad);color:var(--bad)}
.pipeline .result{border-color:var(--now);font-weight:600}
.verdict{margin:20px 0 0;padding:10px 14px;border-radius:8px;font-weight:600}
.verdict.good{background:var(--good-bg)}.verdict.bad{background:var(--bad-bg)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(188px,1fr));gap:14px;margin:24px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px}
.card h2{font-size:13px;font-weight:500;color:var(--quiet);margin:0}
.figure{font-size:25px;font-weight:650;margin:2px 0;letter-spacing:-.01em}
.figure small{font-size:17px}.figure.plain{color:inherit}.sign{white-space:nowrap}
.card .pair{margin-top:12px}
.bar{position:relative;display:flex;align-items:center;gap:8px;height:20px;font-size:12px}
.bar span{display:block;height:11px;border-radius:3px;min-width:2px;width:calc((100% - 84px)*var(--share));flex:none}
.bar b{font-weight:500;white-space:nowrap;font-variant-numeric:tabular-nums}
.was{background:var(--was)}.now{background:var(--now)}
.bars-row{display:grid;grid-template-columns:minmax(120px,220px) 1fr 64px;gap:14px;align-items:center;padding:8px 0;border-top:1px solid var(--line)}
.bars-name{font-size:13px;color:var(--quiet)}
.bars-times{text-align:right;font-weight:600;font-variant-numeric:tabular-nums}
.warnings{background:var(--warn-bg);border-radius:10px;padding:14px 18px;margin:20px 0!important}
.warnings h2{color:var(--warn);font-size:14px;margin:0}
.warnings ul{margin:6px 0 0;padding-left:20px}
.scroll{overflow-x:auto}
.scroll:focus-visible{outline:2px solid var(--now);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400}
thead th{font-size:12px;color:var(--quiet);font-weight:500;border-bottom-color:var(--was);white-space:nowrap}
td.figure,th.figure{font:inherit;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;letter-spacing:0}
thead th.figure{font-size:12px}
td.figure,tbody td.figure{font-size:14px}
tr>:last-child{padding-right:0}
td small{display:block;max-width:60ch}
.heat{width:auto;font-size:13px;font-variant-numeric:tabular-nums}
.heat th,.heat td{padding:5px 9px;border:1px solid var(--paper);text-align:center}
.heat thead th{border-bottom-color:var(--paper)}
.heat tbody th{text-align:right;color:var(--quiet);white-space:nowrap}
.heat td[style]{background:color-mix(in srgb,var(--heat-ink) var(--heat),var(--card))}
.heat td.hot{color:var(--hot)}
.heat .none{color:var(--quiet)}
.stage{border-top:1px solid var(--line);padding:20px 0}
.state{font-size:12px;font-weight:500;padding:1px 9px;border-radius:99px;background:var(--line);margin-left:6px;vertical-align:1px}
.state.succeeded{background:var(--good-bg);color:var(--good)}
.state.failed,.state.cancelled{background:var(--bad-bg);color:var(--bad)}
figure{margin:18px 0;break-inside:avoid}
figcaption{font-weight:600;font-size:14px;margin-bottom:8px}
.prose{max-width:72ch;margin:0 0 8px}
svg{display:block;width:100%;height:auto}
.grid{stroke:var(--line)}.axis{stroke:var(--was)}
.tick{font-size:12px;fill:var(--quiet);font-variant-numeric:tabular-nums}
.label{font-size:12px;fill:var(--quiet)}
.mark{stroke:var(--quiet);stroke-dasharray:4 4}
.mark-label{font-size:12px;fill:var(--ink)}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.line.s1,.line.s4{stroke-dasharray:7 3}.line.s2,.line.s5{stroke-dasharray:2 3}
${[0, 1, 2, 3, 4, 5].map((i) => `.line.s${i}{stroke:var(--s${i})}.dot.s${i}{fill:var(--s${i})}.swatch.s${i}{background:var(--s${i})}`).join('')}
.dot.other{fill:var(--was)}.original{stroke:var(--ink);stroke-width:2;fill:none}
.variant{border-top:1px solid var(--line);padding:14px 0}.variant>summary{font-size:15px;font-weight:600;color:var(--ink)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;margin:0 0 6px}
.swatch{display:inline-block;width:18px;height:4px;border-radius:2px;margin-right:6px;vertical-align:3px}
.line.again{stroke-width:1}.swatch.again{height:2px}
.swatch.was,.swatch.now{height:10px;vertical-align:0}
details{margin:8px 0}
summary{cursor:pointer;font-size:13px;color:var(--quiet)}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;overflow-x:auto;font-size:12.5px;line-height:1.5}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:0 32px;margin:0}
dl div{display:flex;gap:12px;padding:6px 0;border-bottom:1px solid var(--line)}
dt{color:var(--quiet);flex:0 0 120px;font-size:13px}
dd{margin:0;overflow-wrap:anywhere}
footer{color:var(--quiet);font-size:12px;padding:12px 24px 40px}
@media(max-width:640px){main,header,footer{padding-left:16px;padding-right:16px}.bars-row{grid-template-columns:1fr 56px}.bars-name{grid-column:1/-1}}
@media print{:root{color-scheme:light}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}body{font-size:11pt}
main,header,footer{max-width:none;padding:0}.card,tr,.bars-row,.warnings{break-inside:avoid}h2,h3{break-after:avoid}.numbers{display:none}}
`;

export const styleSheet = new Markup(CSS.trim());
