/** What one check found. */
export interface Finding {
  readonly check: string
  readonly outcome: "ok" | "warning" | "failure"
  /** What was found, and where it isn't fine, what that means and what to do. */
  readonly found: string
}

export const ok = (check: string, found: string): Finding => ({ check, outcome: "ok", found })
export const warning = (check: string, found: string): Finding => ({ check, outcome: "warning", found })
export const failure = (check: string, found: string): Finding => ({ check, outcome: "failure", found })

export const MIB = 1024 * 1024
