/** Requests the texts of the page while its other modules load. */

import {loadLanguage} from "./language.js";

/** Resolves once the texts can be used. */
export const loaded = loadLanguage();
