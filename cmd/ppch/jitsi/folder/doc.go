// Package folder reads and writes the files of a few known folders while others may change what is in them.
//
// Root installs into folders of other users, who can swap a file for a link at any moment. So no path is given
// to the system as a whole: each step is taken from one open folder to the next (openat), a link is looked at before
// it is followed, and what is created is changed by its descriptor.
// A file is read only if it is a regular one. What is written goes beside its place and is renamed.
package folder
