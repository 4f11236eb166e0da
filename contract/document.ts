/** Second door of the contract, for tools and tests: every schema, and the OpenAPI document. */
export { openApiDocument } from './openapi-document.ts';
export { answers, type AnswerShape } from './routes.ts';
export { problemSchema } from './problem.ts';
