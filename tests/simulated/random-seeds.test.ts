/**
 * A hundred and twenty stories by chance: whatever people ask for and whatever fails meanwhile, what is there in the end is what is
 * wished. A failure names its seed; STRATA_TEST_SEED=7 tells only that one, STRATA_TEST_SEED=1000-1400 others.
 */
import { ok } from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { RandomStory, RandomStoryTold } from './world/random-story.ts';
import { openStoryThreads, storiesAtOnce } from './world/story-threads.ts';

const [first = 1, last = first] = (process.env['STRATA_TEST_SEED'] ?? '1-120').split('-').map(Number);
const threads = openStoryThreads<RandomStory, RandomStoryTold>(new URL('world/random-story.ts', import.meta.url));
let [faults, succeeded] = [0, 0];

suite('whatever is asked for and whatever fails, what is wished comes about', { concurrency: storiesAtOnce }, () => {
  for (let seed = first; seed <= last; seed += 1) {
    test(`seed ${seed}`, async () => {
      const told = await threads.tell({ seed });
      faults += told.faults;
      succeeded += told.succeeded;
    });
  }
});

after(() => threads.close());
after(() => console.log(`${faults} faults came about, ${succeeded} operations ended well`));
after(() => ok(last === first || (faults > (last - first) / 2 && succeeded > last - first), 'almost nothing happened'));
