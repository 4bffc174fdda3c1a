import { Slots } from './slots';

describe('slots', () => {
  it('are given in the order of asking, and come back', async () => {
    const slots = new Slots(1);
    const order: number[] = [];
    expect(await slots.acquire(1000)).toBe(true);
    const waiting = [1, 2].map(async (number) => {
      expect(await slots.acquire(1000)).toBe(true);
      order.push(number);
      slots.release();
    });
    expect(order).toEqual([]);
    slots.release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2]);
    expect(await slots.acquire(0)).toBe(true);
  });

  it('are not waited for longer than asked', async () => {
    const slots = new Slots(1);
    await slots.acquire(0);
    expect(await slots.acquire(5)).toBe(false);
    slots.release();
    expect(await slots.acquire(5)).toBe(true);
  });
});
