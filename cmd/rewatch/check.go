package main

import "context"

func checkCommand(_ context.Context, c call) error {
	_, err := loadConfig(c.environ)
	return err
}
