// Package integration runs the built binary between real peers: Kamailio as the
// IMS core and as the presence server, SIPp, baresip and linphonec as phones,
// Alertmanager as the receiver of alarms. Where a case needs a peer that behaves
// oddly to the byte, a scripted one on raw sockets plays it.
//
// The tests have the build tag integration, so that "go test ./..." stays quick
// and needs nothing but Go:
//
//	docker/lab/install.sh
//	go test -tags integration ./integration
//
// Every test has a /24 of 127.0.0.0/8 to itself and the same plan of it:
//
//	.20  core                       .40  presence server, port 5070
//	.30  rewatch, core side         .50- phones
//	.31  rewatch, server side       .60  receivers of alarms
//
// So tests run side by side without sharing a port, several on each processor, for
// they wait most of the time; and an address in a trace tells which peer it is. Go starts those
// of the last files first, and the test that waits for longest is there. A test waits
// for a fact, not for a fixed time, where it can. When a test fails, the
// logs of all its processes and the SIP that the scripted peers saw are kept in
// integration/out, by the name of the test.
package integration
