/**
 * Stories told on threads of their own: on both cores of a small machine, and without the test runner's account of every
 * promise, which costs as much as the stories themselves. A story and what it tells are data.
 */
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

const threads = 2;
/** What one story waits for, others use. */
export const storiesAtOnce = 8;

interface Asked { readonly id: number; readonly story: unknown }
interface Told { readonly id: number; readonly told?: unknown; readonly problem?: string }

export interface StoryThreads<Story, Result> {
  tell(story: Story): Promise<Result>;
  close(): Promise<void>;
}

/** `module` answers stories, see answerStories. */
export function openStoryThreads<Story, Result>(module: URL): StoryThreads<Story, Result> {
  const tellers = Array.from({ length: threads }, () => openTeller<Result>(module));
  let id = 0;
  return {
    async tell(story) {
      const [teller] = tellers.toSorted((one, other) => one.waiting.size - other.waiting.size);
      if (teller === undefined) throw new Error('there is no thread');
      id += 1;
      return teller.ask({ id, story });
    },
    async close() { await Promise.all(tellers.map((teller) => teller.worker.terminate())); },
  };
}

function openTeller<Result>(module: URL) {
  const worker = new Worker(module);
  const waiting = new Map<number, PromiseWithResolvers<Result>>();
  worker.on('message', ({ id, told, problem }: Told) => {
    const one = waiting.get(id);
    waiting.delete(id);
    if (problem === undefined) one?.resolve(told as Result);
    else one?.reject(new Error(problem));
  });
  let end: Error | undefined;
  const lost = (why: Error): void => {
    end ??= why;
    for (const one of waiting.values()) one.reject(end);
    waiting.clear();
  };
  worker.on('error', lost);
  worker.on('exit', () => lost(new Error('the thread of stories has ended')));
  return {
    worker, waiting,
    async ask(asked: Asked): Promise<Result> {
      if (end !== undefined) throw end;
      const one = Promise.withResolvers<Result>();
      waiting.set(asked.id, one);
      worker.postMessage(asked);
      return one.promise;
    },
  };
}

/** For the module of a thread: each story it is asked for is told by this function. */
export function answerStories<Story, Result>(tell: (story: Story) => Promise<Result>): void {
  if (isMainThread) return;
  parentPort?.on('message', ({ id, story }: Asked) => {
    tell(story as Story).then(
      (told) => parentPort?.postMessage({ id, told }),
      (thrown: unknown) => parentPort?.postMessage({ id, problem: thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown) }),
    );
  });
}
