package uac

import (
	"context"

	"rewatch/dialogs"
)

const DefaultMessageType = "text/plain;charset=utf-8"

type transaction struct{}

func bareURI(s string) string { return s }

func (c *Client) Message(ctx context.Context, m dialogs.MessageJob) dialogs.Result {
	return dialogs.Result{}
}

func (c *Client) Terminate(ctx context.Context, t dialogs.TerminateJob) dialogs.Result {
	return dialogs.Result{}
}

func (c *Client) Deregister(ctx context.Context, d dialogs.DeregisterJob) dialogs.Result {
	return dialogs.Result{}
}

// Probe asks a hop with OPTIONS whether it is alive: any final response says so.
func (c *Client) Probe(ctx context.Context, hop Hop, uri string) dialogs.Result {
	return dialogs.Result{}
}

// Receive takes a response whose top branch starts with BranchPrefix.
func (c *Client) Receive(raw []byte) bool { return false }
