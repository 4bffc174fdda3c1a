import { invalid } from '@modelpress/core';

/** @throws ModelpressError `name.invalid`. */
export function checkName(name: string, field = 'name'): void {
  if (name.trim() === '' || name.length > 200) {
    throw invalid('name.invalid', 'A name has 1 to 200 characters.', { field });
  }
}
