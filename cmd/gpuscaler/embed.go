package main

// What an image from scratch lacks is in the program: the zones of schedules and
// the certificates of public authorities. Both are asked only where the machine
// has none of its own, so a mounted bundle (SSL_CERT_FILE) counts.
import (
	_ "time/tzdata"

	_ "golang.org/x/crypto/x509roots/fallback"
)
