// Package folder reads and writes files in a few known folders whose contents other users may change at the same time.
//
// Root installs into folders of other users, who can swap a file for a link at any moment. So the system never gets
// a whole path: each step opens a name in an open folder (openat), checks a link before following it, and changes a new
// file by its descriptor.
// Only regular files are read. A new file is written next to its destination and renamed.
package folder
