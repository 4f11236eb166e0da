/**
 * Program for the durability test: writes from eight writers and says each acknowledgement on stdout, until
 * it is killed. Each transaction writes a pair of records, to see that none is ever halved.
 */
import { writeSync } from 'node:fs';
import { openSqliteStore } from './open-sqlite-store.ts';

const [path = '', round = '0'] = process.argv.slice(2);
const store = await openSqliteStore({ path });
writeSync(1, 'open\n');
await Promise.all(Array.from({ length: 8 }, async (_none, writer) => {
  for (let count = 0; ; count += 1) {
    const name = `${round}-${writer}-${count}`;
    await store.transact({ writes: [{ put: `left/${name}`, value: count }, { put: `right/${name}`, value: count }] });
    writeSync(1, `${name}\n`);
  }
}));
