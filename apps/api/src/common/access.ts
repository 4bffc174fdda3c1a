/** @file Who may call a route, and who calls. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { ModelpressError } from '@modelpress/core';
import { ROLES, type Caller, type Role, type Service } from '@modelpress/service';
import { createParamDecorator, Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiConfig } from '../config';
import { API_CONFIG, SERVICE } from '../tokens';
import { RateLimiter } from './rate-limiter';

/** `operator`: the key of the server's configuration. The others are roles of a project's key, each with those before. */
export type Access = 'public' | Role | 'operator';

export const ACCESS_METADATA = 'modelpress:access';

export interface RequestCaller extends Caller {
  readonly operator: boolean;
}

const callers = new WeakMap<FastifyRequest, RequestCaller>();

/** The caller of a request that the guard let in. */
export function callerOf(request: FastifyRequest): RequestCaller {
  const caller = callers.get(request);
  if (caller === undefined) throw new ModelpressError('internal', 'internal.no-caller', 'The route has no caller.');
  return caller;
}

/** Route argument: who calls. */
export const CallerParam = createParamDecorator((_: unknown, context: ExecutionContext) =>
  callerOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Whether two secrets are equal, without telling by the time taken how far they agree. */
const sameSecret = (a: string, b: string): boolean => timingSafeEqual(sha256(a), sha256(b));

function bearerOf(request: FastifyRequest): string {
  const [scheme, secret, ...rest] = (request.headers.authorization ?? '').split(' ');
  if (scheme?.toLowerCase() === 'bearer' && secret !== undefined && secret !== '' && rest.length === 0) return secret;
  const message = 'Send an API key: "Authorization: Bearer <key>".';
  throw new ModelpressError('unauthorized', 'auth.missing', message);
}

/** Lets a request in if its key allows the route. A route without a stated access lets nobody in. */
@Injectable()
export class AccessGuard implements CanActivate {
  private readonly byKey: RateLimiter;
  private readonly byAddress: RateLimiter;

  constructor(
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(SERVICE) private readonly service: Service,
    @Inject(API_CONFIG) private readonly config: ApiConfig,
  ) {
    this.byKey = new RateLimiter(config.rateLimit);
    // Wrong keys are guesses: far fewer are needed of those.
    this.byAddress = new RateLimiter({ perSecond: 1, burst: 30 });
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.get<Access | undefined>(ACCESS_METADATA, context.getHandler());
    if (access === undefined)
      throw new ModelpressError('internal', 'internal.no-access', 'The route does not say who may call it.');
    if (access === 'public') return true;
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const caller = await this.identify(request);
    callers.set(request, caller);
    const wait = this.byKey.take(caller.keyId);
    if (wait > 0) throw tooMany(wait, http.getResponse<FastifyReply>());
    if (!allows(caller, access)) {
      const needed = access === 'operator' ? "the server's operator key" : `the role ${access}`;
      const message = `This needs ${needed}; your key has the role ${caller.role}.`;
      throw new ModelpressError('forbidden', 'auth.role', message, { needed: access, role: caller.role });
    }
    return true;
  }

  private async identify(request: FastifyRequest): Promise<RequestCaller> {
    const secret = bearerOf(request);
    const wait = this.byAddress.peek(request.ip);
    if (wait > 0) throw tooMany(wait);
    try {
      const caller = await this.service.keys.authenticate(secret);
      const { operatorKey } = this.config;
      return { ...caller, operator: operatorKey !== undefined && sameSecret(secret, operatorKey) };
    } catch (error) {
      if (ModelpressError.from(error).kind === 'unauthorized') this.byAddress.take(request.ip);
      throw error;
    }
  }
}

const allows = (caller: RequestCaller, access: Role | 'operator'): boolean =>
  access === 'operator' ? caller.operator : ROLES.indexOf(caller.role) >= ROLES.indexOf(access);

function tooMany(waitSeconds: number, reply?: FastifyReply): ModelpressError {
  const retryAfterSeconds = Math.ceil(waitSeconds);
  void reply?.header('ratelimit-remaining', '0');
  const message = `Too many requests; try again in ${retryAfterSeconds} s.`;
  return new ModelpressError('limit', 'request.rate-limited', message, { retryAfterSeconds });
}
