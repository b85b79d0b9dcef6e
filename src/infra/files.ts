import { existsSync, mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"

/** Makes a directory and those above it. Node's own recursive way never ends where the system says that nothing is there, as /proc does. */
export const makeDirectory = (directory: string): void => {
  try {
    mkdirSync(directory)
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined
    if (code === "EEXIST" && statSync(directory).isDirectory()) return
    if (code !== "ENOENT" || existsSync(dirname(directory))) throw cause
    makeDirectory(dirname(directory))
    mkdirSync(directory)
  }
}

/** What the system said, as a phrase for a person. */
export const reasonOf = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EACCES":
    case "EPERM":
      return "permission denied; check who owns the directory"
    case "ENOSPC":
      return "no space left on the disk"
    case "ENOTDIR":
    case "EEXIST":
      return "a part of the path is a file, not a directory"
    case "EROFS":
      return "the disk is read-only"
  }
  const text = cause instanceof Error ? cause.message : String(cause)
  return text === "database or disk is full" ? "no space left on the disk" : text
}
