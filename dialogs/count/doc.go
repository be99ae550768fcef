// Package count has the counters that monitor and recovery share: what a dry run has
// left out, and what was forgotten because its table was full.
package count
