package main

// Certificate authorities for webhooks over HTTPS where the system has none, as in the container.
import _ "golang.org/x/crypto/x509roots/fallback"
