import { createHmac, timingSafeEqual } from 'node:crypto';
import { ModelpressError } from '@modelpress/core';

const TIMEOUT_MS = 10_000;

export const SIGNATURE_HEADER = 'modelpress-signature';

/** `t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<body>">`: the time is signed too, so an old call cannot be replayed. */
export function signWebhook(secret: string, body: string, seconds: number): string {
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`;
}

/** Whether a received call is genuine and at most `toleranceSeconds` old. */
export function verifyWebhook(secret: string, body: string, header: string, toleranceSeconds = 300): boolean {
  const seconds = Number(/^t=(\d+),/.exec(header)?.[1]);
  if (!Number.isInteger(seconds) || Math.abs(Date.now() / 1000 - seconds) > toleranceSeconds) return false;
  const expected = Buffer.from(signWebhook(secret, body, seconds));
  const given = Buffer.from(header);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** @throws ModelpressError `webhook.refused` unless the receiver answers with 2xx. */
export async function postWebhook(secret: string, url: string, payload: object): Promise<void> {
  const body = JSON.stringify(payload);
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      [SIGNATURE_HEADER]: signWebhook(secret, body, Math.floor(Date.now() / 1000)),
    },
    body,
    // A redirect could lead the call to a place that nobody named.
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await response.body?.cancel();
  if (!response.ok) {
    throw new ModelpressError('unavailable', 'webhook.refused', `The receiver answered ${response.status}.`);
  }
}
