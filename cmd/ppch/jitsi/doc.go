// Package jitsi installs PPCH next to an existing Jitsi and uninstalls it: "ppch jitsi install" and "ppch jitsi uninstall".
//
// It supports two layouts: the directory of docker-jitsi-meet, in releases whose containers run as root and in later ones,
// and /etc/prosody of Debian's Jitsi packages. It writes the Lua module, a Prosody configuration file with the component,
// and the settings of Jitsi and PPCH in .env files.
//
// Making a Plan only reads. Applying it first writes each file next to its destination, then renames them in an order that
// leaves a working Prosody wherever it is interrupted. The directory .ppch keeps the original files, so that Uninstall can
// restore them byte for byte.
//
// All access goes through package folder, by descriptors of open folders: root may install into a folder of another user,
// who can change its contents at any time.
package jitsi
