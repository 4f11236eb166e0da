/** The document of a project as YAML text that every reader of Compose files understands the same: `no` and `0o7` are quoted. */
import { stringify } from 'yaml';

export const renderYaml = (document: Readonly<Record<string, unknown>>): string => stringify(document, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
