import type { DanModel } from './model';

/** The model with int8 rows: symmetric, one scale per column, so that sums of rows stay exact integers. */
export function quantizeTable(model: DanModel): DanModel {
  const { table, dimension } = model;
  if (table.type === 'int8') return model;
  const scales = new Float32Array(dimension);
  table.rows.forEach((value, i) => {
    scales[i % dimension] = Math.max(scales[i % dimension], Math.abs(value) / 127);
  });
  const rows = Int8Array.from(table.rows, (value, i) => {
    const scale = scales[i % dimension];
    return scale === 0 ? 0 : Math.round(value / scale);
  });
  return { ...model, table: { type: 'int8', rows, scales } };
}
