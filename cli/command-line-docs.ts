/** docs/cli.md as text, from the declarations of the verbs. */
import { nounSummaries, verbs } from './command-tree.ts';
import type { Verb } from './verb.ts';

export function commandLineDocs(): string {
  const nouns = Object.entries(nounSummaries).map(([noun, summary]) => section(`strata ${noun}`, summary, verbs.filter((verb) => verb.name.startsWith(`${noun} `))));
  return [
    '# The strata command',
    '',
    '<!-- Made by `node tools/generate-cli-docs.ts`; do not edit. -->',
    '',
    'Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage or invalid file, 124 time-out of a wait, 130 Ctrl-C;',
    '`exec`: the command\'s own, 125 Strata\'s failure, 126 cannot be invoked, 127 not found.',
    '',
    'Environment: `STRATA_INSTANCE`, `STRATA_STATE`, `STRATA_RUN`, `STRATA_CACHE`, `STRATA_SUBNET`, `STRATA_POOL`, `STRATA_LOG_LEVEL`, `STRATA_RESIDENT` (`no`: each command by itself); `COMPOSE_FILE`, `COMPOSE_PROJECT_NAME`, `COMPOSE_PROFILES`; `NO_COLOR`, `FORCE_COLOR`.',
    '',
    section('strata', 'the verbs of every day', verbs.filter((verb) => !verb.name.includes(' '))),
    ...nouns,
  ].join('\n');
}

function section(title: string, summary: string, members: readonly Verb[]): string {
  return `## ${title}\n\n${sentence(summary)}\n\n${members.map(verbText).join('\n')}`;
}

function verbText(verb: Verb): string {
  const alias = verb.alias === undefined ? '' : ` (also \`${verb.alias}\`)`;
  const options = (verb.options ?? []).map((option) => `| \`${option.flags}\` | ${option.summary}${option.choices === undefined ? '' : ` (${option.choices.join(', ')})`}${option.many === true ? '; may be repeated' : ''} |`);
  const table = options.length === 0 ? '' : `\n| option | meaning |\n|---|---|\n${options.join('\n')}\n`;
  const examples = verb.examples === undefined ? '' : `\n${verb.examples.map((line) => `    ${line}`).join('\n')}\n`;
  return `### \`strata ${verb.name}${verb.args === undefined ? '' : ` ${verb.args}`}\`${alias}\n\n${sentence(verb.summary)}\n${table}${examples}`;
}

const sentence = (text: string): string => `${text[0]?.toUpperCase()}${text.slice(1)}.`;
