// Package own is the part of the SIP path that knows rewatch's own requests: it sends them
// for package uac, gives it their responses, tells it when one cannot have arrived, and
// recognises those that the core sends back.
package own
