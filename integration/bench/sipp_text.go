package main

// sippUAS answers a NOTIFY of the generator as a phone does, down to the bytes
// that the generator expects. [last_Via:] would join the Vias in one line.
const sippUAS = `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="answers NOTIFY">
<recv request="NOTIFY">
<action>
<ereg regexp="w[0-9]+" search_in="hdr" header="To:" assign_to="user"/>
<ereg regexp="Via: [^[:cntrl:]]+z9hG4bKld[0-9a-f]+" search_in="msg" assign_to="upper"/>
<ereg regexp="Via: [^[:cntrl:]]+z9hG4bKnode[0-9a-f]+" search_in="msg" assign_to="lower"/>
</action>
</recv>
<send><![CDATA[
SIP/2.0 200 OK
[$upper]
[$lower]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[$user]@127.203.1.50:5060;ob>
User-Agent: phone
Content-Length: 0

]]></send>
</scenario>
`

// sippUAC sends NOTIFYs and wants a 200 for each.
const sippUAC = `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="sends NOTIFY">
<send retrans="500"><![CDATA[
NOTIFY sip:watcher@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:presentity@ims.example>;tag=[call_number]
To: <sip:watcher@ims.example>;tag=w[call_number]
Call-ID: [call_id]
CSeq: 1 NOTIFY
Contact: <sip:[local_ip]:[local_port]>
Event: presence
Subscription-State: active;expires=3600
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
`
