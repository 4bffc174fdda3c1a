import type { Problem } from './types.generated';

/** The API's refusal of a request. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    /** Stable name of the exact reason, e.g. `recipe.invalid`. */
    readonly code: string,
    message: string,
    /** Every wrong field, where the request was checked as a whole. */
    readonly errors: Problem['errors'] = [],
    readonly details: Problem['details'] = {},
    readonly requestId: string = '',
  ) {
    super(message);
  }
}

/** Reads the problem that a refused response carries; a proxy in between may have sent something else. */
export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text();
  const { status, statusText } = response;
  if (!(response.headers.get('content-type') ?? '').startsWith('application/problem+json'))
    return new ApiError(status, 'http', `${status} ${statusText}: ${text.slice(0, 500)}`);
  const problem = JSON.parse(text) as Problem;
  return new ApiError(status, problem.code, problem.detail, problem.errors, problem.details, problem.requestId);
}
