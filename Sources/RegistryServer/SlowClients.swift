import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Closes connections on which a client keeps the server waiting.
///
/// A client that sends a byte a minute, or takes one, holds a descriptor and an upload for as long
/// as it likes, and a thousand of them hold the whole server. So in each period a request's body
/// has to bring, and a response has to take, a minimum; unless it is the server who is slow.
final class SlowClientHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let period: TimeAmount
    private let minimum: Int
    private var check: RepeatedTask?
    private var isReadingBody = false
    /// Whether the server has asked for more and got none yet.
    private var isWaitingForBytes = false
    private var received = 0
    private var waited = false
    private var unsent = 0
    private var sent = 0
    private var hadUnsent = false

    /// - Parameter minimum: bytes a second.
    init(period: TimeAmount, minimum: Int) {
        self.period = period
        self.minimum = minimum * Int(period.nanoseconds / 1_000_000_000)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        check = context.eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in
            let (handler, context) = loopBound.value
            handler.endPeriod(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        check?.cancel()
        check = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        check?.cancel()
        check = nil
        context.fireChannelInactive()
    }

    private func endPeriod(_ context: ChannelHandlerContext) {
        let sendsTooLittle = isReadingBody && waited && isWaitingForBytes && received < minimum
        let takesTooLittle = hadUnsent && unsent > 0 && sent == 0
        if sendsTooLittle || takesTooLittle {
            context.close(promise: nil)
            return
        }
        received = 0
        sent = 0
        waited = isReadingBody && isWaitingForBytes
        hadUnsent = unsent > 0
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head: isReadingBody = true
        case .body(let bytes): received += bytes.readableBytes
        case .end: isReadingBody = false
        }
        isWaitingForBytes = false
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        isWaitingForBytes = true
        context.read()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .body(let bytes) = unwrapOutboundIn(data) else {
            return context.write(data, promise: promise)
        }
        unsent += bytes.readableBytes
        let count = bytes.readableBytes
        let promise = promise ?? context.eventLoop.makePromise()
        let loopBound = NIOLoopBound(self, eventLoop: context.eventLoop)
        promise.futureResult.whenComplete { _ in
            loopBound.value.unsent -= count
            loopBound.value.sent += count
        }
        context.write(data, promise: promise)
    }
}
