// Two instances in one JVM, over a link that is two queues: they pair and talk. The host here is what a program's own would be
// around its WebSockets: frames in, outputs, frames out, timers.

import uniffi.lama_ffi.Instance
import uniffi.lama_ffi.Keys
import uniffi.lama_ffi.LamaFailure

const val LINK = 1uL

fun mono() = (System.nanoTime() / 1_000_000).toULong()
fun wall() = System.currentTimeMillis().toULong()

/** One text field of JSON without escapes: enough here; a program has its library for that. */
fun field(json: String, name: String) = Regex("\"$name\":\"([^\"]*)\"").find(json)?.groupValues?.get(1)

class Side(email: String) {
    val keys = Keys.create(email, "kotlin", wall())
    val person = field(keys.identity(), "person")!!
    val instance = Instance.open(keys, null, mono(), wall())
    val outputs = mutableListOf<String>()
    lateinit var other: Side
    var linked = false

    fun ask(command: String) = instance.command(1uL, command, mono(), wall())

    /** Whether anything happened. */
    fun turn(): Boolean {
        var busy = false
        instance.pollTimeout()?.let { if (it <= mono()) instance.handleTimeout(mono(), wall()) }
        while (true) {
            val output = instance.poll(mono(), wall()) ?: break
            busy = true
            outputs.add(output)
            if (output.startsWith("{\"type\":\"dial\"") && !linked) {
                val dial = Regex("\"dial\":(\\d+)").find(output)!!.groupValues[1].toULong()
                instance.linkDialled(LINK, dial, null, mono(), wall())
                other.instance.linkAccepted(LINK, "127.0.0.1", mono(), wall())
                linked = true
                other.linked = true
            }
        }
        while (instance.nextReadyLink() != null) {
            while (true) {
                val frame = instance.pollFrame(LINK) ?: break
                busy = true
                other.instance.frame(LINK, frame, mono(), wall())
            }
        }
        return busy
    }
}

fun until(sides: List<Side>, what: String, found: () -> String?): String {
    val end = System.nanoTime() + 60_000_000_000
    while (true) {
        found()?.let { return it }
        check(System.nanoTime() < end) { "waited in vain for $what: ${sides.map { it.outputs }}" }
        if (sides.count { it.turn() } == 0) Thread.sleep(5)
    }
}

fun main() {
    val (ada, bob) = listOf(Side("ada@example.org"), Side("bob@example.org"))
    val sides = listOf(ada, bob)
    ada.other = bob
    bob.other = ada
    ada.instance.listening(listOf("ws://localhost:1"), mono(), wall())
    ada.ask("""{"type":"invite"}""")
    val link = until(sides, "the invitation") { ada.outputs.firstNotNullOfOrNull { field(it, "link") } }
    bob.ask("""{"type":"join","link":"$link"}""")
    val code = until(sides, "the contact") { bob.outputs.find { "\"contact\"" in it && "active" in it }?.let { field(it, "checkCode") } }
    println("Bob: Ada is a contact, check code $code")
    bob.ask("""{"type":"send","to":"${ada.person}","text":"hello from Kotlin"}""")
    val heard = until(sides, "the message") { ada.outputs.find { "hello from Kotlin" in it && "\"message\"" in it } }
    println("Ada: Bob says ${field(heard, "text")}")
    try {
        ada.ask("""{"type":"send","to":"nobody","text":"x"}""")
        error("nobody is no person")
    } catch (failure: LamaFailure.Failed) {
        check(failure.code == "binding.argument") { failure.code }
    }
}
