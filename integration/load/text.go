package load

// The texts of the messages, from From to the end. A system that forwards may not
// change a byte of them.

const notifyTail = `From: <sip:p{user}@ims.example>;tag={ptag}
To: <sip:w{user}@ims.example>;tag={wtag}
Call-ID: {call}-{user}@ims.example
CSeq: {cseq} NOTIFY
Contact: <sip:SERVER;transport=x>
Event: presence
Subscription-State: active;expires=LASTS
User-Agent: ims-presence-server/12.4.10{filler}
Content-Type: application/pidf+xml
Content-Length: 471

` + pidf

// pidf has 471 bytes with the line ends of a message.
const pidf = `<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" entity="sip:p{user}@ims.example">
<tuple id="t{wtag}">
<status><basic>open</basic></status>
<contact priority="0.8">sip:p{user}@ims.example</contact>
<note xml:lang="en">state {cseq}</note>
<timestamp>2026-01-15T12:30:45Z</timestamp>
</tuple>
<dm:person id="p{ptag}"><dm:note>busy</dm:note></dm:person>
</presence>
`

const notifyAnswer = `From: <sip:p{user}@ims.example>;tag={ptag}
To: <sip:w{user}@ims.example>;tag={wtag}
Call-ID: {call}-{user}@ims.example
CSeq: {cseq} NOTIFY
Contact: <sip:w{user}@PHONE;ob>
User-Agent: phone{filler}
Content-Length: 0

`

const subscribeTail = `From: <sip:w{user}@ims.example>;tag={wtag}
To: <sip:p{user}@ims.example>
Call-ID: {call}-{user}@ims.example
CSeq: {cseq} SUBSCRIBE
Contact: <sip:w{user}@PHONE;ob>
P-Asserted-Identity: <sip:w{user}@ims.example>
P-Charging-Vector: icid-value={call}{wtag};orig-ioi=ims.example
Event: presence
Accept: application/pidf+xml
Expires: LASTS
User-Agent: phone
Content-Length: 0

`

const subscribeAnswer = `From: <sip:w{user}@ims.example>;tag={wtag}
To: <sip:p{user}@ims.example>;tag={ptag}
Call-ID: {call}-{user}@ims.example
CSeq: {cseq} SUBSCRIBE
Contact: <sip:SERVER;transport=x>
Expires: LASTS
Server: presence
Content-Length: 0

`

const registerTail = `From: <sip:scscf.ims.example>;tag={ptag}
To: <sip:w{user}@ims.example>
Call-ID: r{call}-{user}@scscf.ims.example
CSeq: {cseq} REGISTER
Contact: <sip:CORE;lr>
Expires: 600000
P-Visited-Network-ID: ims.example
P-Charging-Vector: icid-value={call}{wtag};orig-ioi=ims.example
User-Agent: scscf
Content-Length: 0

`

const registerAnswer = `From: <sip:scscf.ims.example>;tag={ptag}
To: <sip:w{user}@ims.example>;tag={wtag}
Call-ID: r{call}-{user}@scscf.ims.example
CSeq: {cseq} REGISTER
Contact: <sip:CORE;lr>;expires=600000
Server: presence
Content-Length: 0

`
