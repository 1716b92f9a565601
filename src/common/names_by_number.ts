/** The names of a table from names to numbers, each at the index of its number. */
export function namesByNumber<Name extends string>(table: Readonly<Record<Name, number>>): readonly Name[] {
  const names: Name[] = [];
  for (const name in table) names[table[name]] = name;
  return names;
}
