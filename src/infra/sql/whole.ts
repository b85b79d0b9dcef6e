/**
 * For a SELECT: whether the tables have held all of the log since they were emptied, and all live measures count everybody.
 * It reads `settings` before the others, as all do that meet whoever empties the tables.
 */
export const WHOLE = `coalesce((
  SELECT whole AND NOT EXISTS (SELECT FROM counting c JOIN measures m ON m.id = c.measure WHERE m.state = 'live')
  FROM settings), false)`
