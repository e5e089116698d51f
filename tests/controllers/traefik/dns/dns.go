// Package dns offers no DNS provider: the modules of the providers are large, and some are not published.
package dns

import (
	"errors"

	"github.com/go-acme/lego/v5/challenge"
)

// NewDNSChallengeProviderByName fails for every name.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, errors.New(name + ": not built into this program")
}
