// Package ext has the extension points of Traefik's dynamic configuration, whose module is not published.
package ext

// HTTP extends the configuration of HTTP.
type HTTP struct{}

// Router extends the configuration of a router.
type Router struct{}
