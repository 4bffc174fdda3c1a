import { Graph, Model } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { removeDeadCode } from './dead-code';
import { fuseGelu } from './fuse-gelu';
import { sequence } from './pass';
import { applied, feedsOf, largestDifference, nodesOf, run } from './testing';

type Form = (build: GraphBuilder, x: Value) => Value;

const one = (build: GraphBuilder, value: Value): Value => build.op('Add', [value, build.scalar(1)]);
const half = (build: GraphBuilder, value: Value): Value => build.op('Mul', [value, build.scalar(0.5)]);
const erf: Form = (build, x) => one(build, build.op('Erf', [build.op('Div', [x, build.scalar(Math.SQRT2)])]));
const erfByMul: Form = (build, x) => one(build, build.op('Erf', [build.op('Mul', [build.scalar(Math.SQRT1_2), x])]));
const tanh =
  (cube: Form): Form =>
  (build, x) => {
    const inner = build.op('Add', [x, build.op('Mul', [build.scalar(0.044715), cube(build, x)])]);
    return one(build, build.op('Tanh', [build.op('Mul', [inner, build.scalar(Math.sqrt(2 / Math.PI))])]));
  };
const byPow: Form = (build, x) => build.op('Pow', [x, build.scalar(3)]);
const byMul: Form = (build, x) => build.op('Mul', [build.op('Mul', [x, x]), x]);

function model(form: Form): Model {
  const build = new GraphBuilder(new Model(new Graph()));
  build.output(form(build, build.input('x', 'float32', [50])), 'y');
  return build.model;
}

const fuse = sequence(fuseGelu, removeDeadCode);

describe('fuseGelu', () => {
  const forms: Record<string, [Form, string]> = {
    '(x e) 0.5': [(build, x) => half(build, build.op('Mul', [x, erf(build, x)])), 'none'],
    'x (e 0.5)': [(build, x) => build.op('Mul', [x, half(build, erfByMul(build, x))]), 'none'],
    '(x 0.5) e': [(build, x) => build.op('Mul', [half(build, x), erf(build, x)]), 'none'],
    'tanh by Pow': [(build, x) => build.op('Mul', [half(build, x), tanh(byPow)(build, x)]), 'tanh'],
    'tanh by Mul': [(build, x) => half(build, build.op('Mul', [tanh(byMul)(build, x), x])), 'tanh'],
  };

  it.each(Object.keys(forms))('recognises %s', async (name) => {
    const [form, approximate] = forms[name];
    const before = model(form);
    const after = applied(fuse, before);
    expect(nodesOf(after)).toEqual([`%y: float32[50] = Gelu(%x) {approximate: "${approximate}"}`]);
    const [a, b] = await Promise.all([before, after].map((each) => run(each, feedsOf(before))));
    expect(largestDifference(a.y, b.y)).toBeLessThan(1e-6);
  });

  const others: Record<string, Form> = {
    'another factor': (build, x) => build.op('Mul', [build.op('Mul', [x, erf(build, x)]), build.scalar(0.6)]),
    'another argument': (build, x) => half(build, build.op('Mul', [build.op('Relu', [x]), erf(build, x)])),
    'no factor 0.5': (build, x) => build.op('Mul', [x, erf(build, x)]),
    'another scale': (build, x) =>
      half(build, build.op('Mul', [x, one(build, build.op('Erf', [build.op('Div', [x, build.scalar(1.5)])]))])),
  };

  it.each(Object.keys(others))('leaves %s alone', (name) => {
    expect(fuseGelu(model(others[name]))).toEqual({ modified: false });
  });
});
