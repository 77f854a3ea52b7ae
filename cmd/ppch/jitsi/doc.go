// Package jitsi puts PPCH beside a Jitsi that is there already, and takes it away again: "ppch jitsi install" and "ppch jitsi uninstall".
//
// It knows two layouts: the directory of docker-jitsi-meet, in releases before and after its containers ceased
// to run as root, and /etc/prosody of Debian's Jitsi packages. What it writes there is the Lua module, a file of
// Prosody's configuration with the component, and the settings of both in .env files.
//
// A Plan is made first, which only reads. It can be shown, and then carried out: every file is written beside its
// place, then all are renamed in an order that leaves Prosody working wherever that ends. The directory .ppch keeps what
// was there before, so that Uninstall can put it back byte by byte.
//
// All of it goes through package folder, by descriptors of the folders that are known: root may do this in a folder
// of another user, who can change what is there meanwhile.
package jitsi
