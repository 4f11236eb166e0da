/**
 * What a half-written command line can go on with, one candidate a line with its summary after a tab;
 * `:file` or `:folder` where the shell knows better. Names come from the daemon within 300 ms or not at
 * all; it is never started for this, and nothing is ever printed but candidates.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openClient, placesFromEnvironment, type Client } from '#client';
import { nounSummaries, verbs } from './command-tree.ts';
import { composeFileNames } from './choose-app.ts';
import type { Caller } from './caller.ts';
import type { Completion, Option, Verb } from './verb.ts';

const namesLimitMs = 300;

/** Where completion is asked for: variables and folder of whoever types. */
type Asker = Pick<Caller, 'env' | 'cwd'>;

export async function complete(words: readonly string[], asker: Asker): Promise<string[]> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const verb = verbOf(before);
  const found = verb === undefined ? firstWords(before) : await afterVerb(verb, before, current, asker);
  return found.filter((line) => line.startsWith(':') || line.startsWith(current));
}

function verbOf(before: readonly string[]): Verb | undefined {
  const plain = before.filter((word) => !word.startsWith('-'));
  return verbs.find((verb) => {
    const words = verb.name.split(' ');
    return words.every((word, at) => plain[at] === word || (verb.alias !== undefined && at > 0 && at === words.length - 1 && plain[at] === verb.alias));
  });
}

function firstWords(before: readonly string[]): string[] {
  const noun = before.filter((word) => !word.startsWith('-')).map((word) => `${word} `).join('');
  const next = new Map<string, string>();
  for (const { name, summary } of verbs.filter((verb) => verb.name.startsWith(noun))) {
    const [word = '', ...more] = name.slice(noun.length).split(' ');
    next.set(word, more.length === 0 ? summary : nounSummaries[`${noun}${word}`] ?? '');
  }
  return [...next].map(([word, summary]) => `${word}\t${summary}`);
}

async function afterVerb(verb: Verb, before: readonly string[], current: string, asker: Asker): Promise<string[]> {
  const pending = optionAwaitingValue(verb, before.at(-1));
  if (pending !== undefined) return pending.choices !== undefined ? [...pending.choices] : names(pending.completion ?? 'none', asker);
  if (current.startsWith('-')) return (verb.options ?? []).flatMap((option) => flagsOf(option).map((flag) => `${flag}\t${option.summary}`));
  if (verb.name === 'completion') return ['bash', 'zsh', 'fish'];
  if (verb.name === 'up' && current.includes('/')) return [':folder'];
  return names(verb.completion ?? 'none', asker);
}

const flagsOf = (option: Option): string[] => option.flags.split(/[ ,]+/).filter((word) => word.startsWith('-'));

function optionAwaitingValue(verb: Verb, word: string | undefined): Option | undefined {
  if (word?.startsWith('-') !== true) return undefined;
  return (verb.options ?? []).find((option) => option.flags.includes('<') && flagsOf(option).includes(word));
}

async function names(completion: Completion, asker: Asker): Promise<string[]> {
  if (completion === 'none') return [];
  if (completion === 'file' || completion === 'folder') return [`:${completion}`];
  const client = openClient(placesFromEnvironment(asker.env).socketPath);
  try { return await fromDaemon(client, completion, asker.cwd); } catch { return []; } finally { client.close(); }
}

async function fromDaemon(client: Client, completion: Exclude<Completion, 'none' | 'file' | 'folder'>, cwd: string): Promise<string[]> {
  const options = { timeoutMs: namesLimitMs, signal: AbortSignal.timeout(namesLimitMs) };
  if (completion === 'app') return (await client.call('listApps', options)).items.map((app) => app.name);
  if (completion === 'machine') return (await client.call('listMachines', options)).items.map((machine) => machine.name);
  if (completion === 'backend') return (await client.call('listBackends', options)).items.map((backend) => backend.name);
  if (completion === 'container') return (await client.call('listContainers', options)).items.map((container) => container.name);
  if (completion === 'image') return (await client.call('listImages', options)).items.flatMap((image) => (image.references.length > 0 ? image.references : [image.digest]));
  if (completion === 'engine') return (await client.call('listEngines', options)).items.map((engine) => engine.name);
  if (completion === 'host') return (await client.call('listHosts', options)).items.map((host) => host.name);
  if (completion === 'operation') return (await client.call('listOperations', { ...options, query: { limit: 20 } })).items.map((operation) => operation.id);
  const apps = (await client.call('listApps', options)).items;
  const here = apps.filter((app) => app.workingDir === cwd);
  const hasFile = composeFileNames.some((name) => existsSync(join(cwd, name)));
  return (hasFile ? here : apps).flatMap((app) => app.services.map((service) => service.name));
}
