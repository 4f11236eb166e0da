/**
 * The size of functions, without the functions in them (a factory is as long as what it makes), no
 * inheritance but of Error, no shell.
 */
import { parseSync, Visitor } from 'oxc-parser';
import { isTestFile } from '../../../tools/layers.ts';
import { sourcesOf, type Guard } from '../project.ts';

const limit = 60;

interface Range { readonly start: number; readonly end: number }

export const functions: Guard = {
  name: 'functions are short, nothing is inherited, nothing goes through a shell',
  find(project) {
    const offences: string[] = [];
    let seen = 0;
    for (const [file, text] of sourcesOf(project)) {
      const found: Range[] = [];
      const enter = (node: Range): void => { found.push({ start: node.start, end: node.end }); };
      const visitor = new Visitor({
        FunctionDeclaration: enter, FunctionExpression: enter, ArrowFunctionExpression: enter,
        ClassDeclaration(node) { if (node.superClass !== null && !isErrorClass(text.slice(node.superClass.start, node.superClass.end))) offences.push(`${file}: class ${node.id?.name ?? ''} inherits`); },
        Property(node) { if (node.key.type === 'Identifier' && node.key.name === 'shell' && node.value.type === 'Literal' && node.value.value !== false && /child_process/.test(text)) offences.push(`${file}: a program is run through a shell`); },
      });
      visitor.visit(parseSync(file, text).program);
      seen += found.length;
      if (isTestFile(file) || file.startsWith('bench/')) continue;
      for (const one of found) {
        const lines = ownLines(one, found, text);
        if (lines > limit) offences.push(`${file}:${lineOf(text, one.start)}: a function of ${lines} lines of its own, more than ${limit}`);
      }
    }
    return { seen, offences };
  },
  planted: {
    'src/base/planted-function.ts': `/** Long function. */\nexport function long(): void {\n${'  long();\n'.repeat(70)}}\n`,
    'src/base/planted-class.ts': '/** Inherits. */\nclass A {}\nexport class B extends A {}\n',
    'src/base/planted-shell.ts': '/** Shell. */\nimport { spawn } from \'node:child_process\';\nspawn(\'ls\', { shell: true });\n',
  },
};

const isErrorClass = (name: string): boolean => name.endsWith('Error');
const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length;

function ownLines(one: Range, all: readonly Range[], text: string): number {
  const inside = all.filter((other) => other !== one && other.start >= one.start && other.end <= one.end);
  const outermost = inside.filter((other) => !inside.some((outer) => outer !== other && outer.start <= other.start && outer.end >= other.end));
  const lines = ({ start, end }: Range) => text.slice(start, end).split('\n').length;
  return lines(one) - outermost.reduce((sum, other) => sum + lines(other) - 1, 0);
}
