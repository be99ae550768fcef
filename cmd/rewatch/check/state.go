package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs/store/bolt"
	"rewatch/dialogs/store/redis"
)

// redisTime is how long Redis may take to answer "rewatch check".
const redisTime = 3 * time.Second

// stateFinding checks that the file or the Redis of REWATCH_STATE is there and can be used.
func stateFinding(ctx context.Context, cfg config.Config) finding {
	const variable = "REWATCH_STATE"
	shown := config.WithoutSecrets(cfg.State.Store)
	path, isFile := strings.CutPrefix(cfg.State.Store, config.StateFile)
	var err error
	switch {
	case cfg.State.Store == config.StateMemory:
		return finding{true, variable, shown + " ends with the process" + ofService(serviceFile)}
	case isFile:
		if err = checkFile(path); errors.Is(err, bolt.ErrInUse) {
			return finding{true, variable, shown + " is in use by another process, perhaps a rewatch that runs"}
		}
	default:
		err = pingRedis(ctx, cfg)
	}
	if errors.Is(err, bolt.ErrCorrupt) || errors.Is(err, bolt.ErrFormat) {
		err = fmt.Errorf("%w; the next start moves it aside and begins a new one", err)
	}
	if err != nil {
		return finding{false, variable, shown + ": " + err.Error()}
	}
	return finding{true, variable, shown + " is there"}
}

// serviceFile is the systemd unit of the Debian package.
const serviceFile = "/usr/lib/systemd/system/rewatch.service"

// ofService names the REWATCH_STATE that a systemd unit sets itself; empty if there is no such unit.
// A shell that reads only the environment file of the unit does not have that value.
func ofService(file string) string {
	text, err := os.ReadFile(file) //nolint:gosec // a constant, but for tests
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if state, ok := strings.CutPrefix(strings.TrimSpace(line), "Environment=REWATCH_STATE="); ok {
			return "; rewatch.service has " + state + " where the variable is not set"
		}
	}
	return ""
}

// checkFile checks a state file, or the directory in which a new one would be made.
func checkFile(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return bolt.Check(path)
	}
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = errors.New("no directory")
	}
	if err != nil {
		return fmt.Errorf("%s: %s", filepath.Dir(path), config.Cause(err))
	}
	return nil
}

func pingRedis(ctx context.Context, cfg config.Config) error {
	c, err := redis.ParseURL(cfg.State.Store)
	if err != nil {
		return err
	}
	s := redis.New(c)
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	return errors.Join(s.Ping(ctx), s.Close())
}
