/** Takes away what dead attachments left in the table of ./sets.ts. What goes is decided by ./sets-plan.ts. */
import { changeSets } from './elements.ts';
import type { DeadRules } from './owned-plan.ts';
import { deadElements } from './sets-plan.ts';

/** One list and at most one transaction. Throws ToolError. */
export function removeDeadElements(dead: DeadRules): void {
  changeSets((listing) => listing && { gone: deadElements(dead, listing.elements) });
}
