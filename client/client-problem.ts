/** Errors of the client: what the server explained, or that it could not be reached. */
import type { Diagnostic, Problem } from '#contract';

export class ClientProblem extends Error {
  override readonly name = 'ClientProblem';
  readonly code: string;
  readonly status: number;
  readonly advice: string;
  readonly requestId: string;
  readonly diagnostics: readonly Diagnostic[];
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  readonly details: Readonly<Record<string, unknown>>;

  constructor(problem: Partial<Problem> & { readonly detail: string; readonly code: string }, cause?: unknown) {
    super(problem.detail, cause === undefined ? undefined : { cause });
    this.code = problem.code;
    this.status = problem.status ?? 0;
    this.advice = problem.advice ?? '';
    this.requestId = problem.requestId ?? '';
    this.diagnostics = problem.diagnostics ?? [];
    this.errors = problem.errors ?? [];
    this.details = problem.details ?? {};
  }
}

/** The daemon does not answer on its socket (0 requests were carried out). */
export const daemonUnreachable = (socketPath: string, cause: unknown): ClientProblem =>
  new ClientProblem({ code: 'client.unreachable', detail: `no daemon answers on ${socketPath}`, advice: 'start it with `strata serve`' }, cause);

/** The answer is not what the contract says. */
export const strangeAnswer = (what: string, cause?: unknown): ClientProblem =>
  new ClientProblem({ code: 'client.strangeAnswer', detail: what, advice: 'are client and daemon of the same version? (`strata version`)' }, cause);
