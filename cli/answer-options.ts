/** Options of the verbs that change something, for what they print once it is done. */
import type { Option } from './verb.ts';

export const answerOption: Option = { flags: '-o, --output <format>', summary: 'how to print what was answered', choices: ['text', 'json', 'yaml'] };

const operationFormat: Option = { ...answerOption, summary: 'how to print the operation' };
export const detach: Option = { flags: '-d, --detach', summary: 'do not wait; print the operation' };
export const quietOptions: readonly Option[] = [{ flags: '-q, --quiet', summary: 'no progress' }, operationFormat];
export const operationOptions: readonly Option[] = [detach, ...quietOptions];
