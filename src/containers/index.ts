/** Door of the containers layer. */
export type { DebianRecipe, Image, ImageConfig, ImageProgress, Images } from './images/image.ts';
