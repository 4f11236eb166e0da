/**
 * Every operation on an app is cut off at every place it comes to: the daemon dies there, or the step fails there, before
 * it or after it. Each story walks through all operations and is disturbed once in each; after each, the next daemon (or
 * the next look) must bring about what an undisturbed run does, with nothing left over.
 */
import { equal, ok } from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { comeToRest } from './world/come-to-rest.ts';
import { chapters, type CrashStory, type CrashStoryTold, type Disturbance, type Place } from './world/crash-story.ts';
import { pictureOf } from './world/picture-of.ts';
import { openSimulatedHost } from './world/simulated-host.ts';
import { openStoryThreads, storiesAtOnce } from './world/story-threads.ts';

/** Store writes are many and all different: every eighth. All else stands for itself at its first time in a chapter; between two drivers of traffic one place will do. */
function isChosen({ name, count }: Place): boolean {
  if (name === 'store.transact.after') return count % 8 === 0;
  return count === 0 && !['store.transact.before', 'network.apply.before', 'gateway.apply.before', 'gateway.stats.before', 'gateway.stats.after'].includes(name);
}

interface Undisturbed { readonly pictures: readonly unknown[]; readonly places: readonly (readonly Place[])[] }

async function tellUndisturbed(): Promise<Undisturbed> {
  let counts = new Map<string, number>();
  let seen: Place[] = [];
  const host = await openSimulatedHost();
  host.watch((name) => {
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    seen.push({ name, count });
  });
  const [pictures, places]: [unknown[], Place[][]] = [[], []];
  for (const chapter of chapters) {
    [counts, seen] = [new Map(), []];
    equal((await chapter.act(host)).status, 'succeeded', chapter.name);
    await comeToRest(host);
    pictures.push(await pictureOf(host));
    places.push(seen.filter(isChosen));
  }
  await host.close();
  return { pictures, places };
}

/** A write of the store that fails is tested below it; an engine that fails to start a machine has cleaned up, says its contract. */
const mayFail = ({ name }: Place): boolean => !name.startsWith('store.') && name !== 'engine.start.after';

const undisturbed = await tellUndisturbed();
const disturbances = undisturbed.places.map((places) => places.flatMap((place, index): Disturbance[] => {
  const die: Disturbance = { place, how: index % 4 === 0 ? 'die again' : 'die' };
  return mayFail(place) ? [die, { place, how: 'fail' }] : [die];
}));
const longest = Math.max(...disturbances.map((list) => list.length));

/** A story ends after the last chapter that has a place no story before it had. */
function storyOf(index: number): CrashStory {
  const last = disturbances.findLastIndex((list) => list.length > index);
  return disturbances.slice(0, last + 1).flatMap((list, at) => list.slice(index % list.length).slice(0, 1).map((disturbance) => ({ disturbance, picture: undisturbed.pictures[at] })));
}

const threads = openStoryThreads<CrashStory, CrashStoryTold>(new URL('world/crash-story.ts', import.meta.url));
let [met, meant] = [0, 0];

suite('cut off anywhere, an operation ends as if it had not been', { concurrency: storiesAtOnce }, () => {
  for (let index = 0; index < longest; index += 1) {
    test(`story ${index}`, async () => {
      const story = storyOf(index);
      meant += story.length;
      const told = await threads.tell(story);
      met += told.met;
    });
  }
});

after(() => threads.close());
after(() => console.log(`${meant} disturbances, ${met} of them met`));
after(() => ok(met > meant * 0.8, `only ${met} of ${meant} places were come to`));
