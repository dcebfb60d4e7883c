import Kernels
import Model

/// The memory of one operator while it runs. Spans live as long as the invocation.
@safe package struct Invocation {
    /// Where a tensor or scratch block lies.
    @safe package struct Block {
        @unsafe package var base: UnsafeMutableRawPointer
        package var byteCount: Int
        @unsafe package init(base: UnsafeMutableRawPointer, byteCount: Int) {
            unsafe self.base = base
            self.byteCount = byteCount
        }

        /// No bytes: an optional input left out.
        package static var empty: Block {
            unsafe Block(base: UnsafeMutableRawPointer(bitPattern: 64)!, byteCount: 0)
        }
    }

    /// Inputs (an optional one left out has no bytes), then outputs, then scratch blocks.
    @unsafe private let blocks: UnsafePointer<Block>
    private let inputCount: Int
    private let outputCount: Int
    private let scratchCount: Int
    package let pool: ThreadPool

    @unsafe package init(
        blocks: UnsafePointer<Block>, inputCount: Int, outputCount: Int, scratchCount: Int, pool: ThreadPool
    ) {
        unsafe self.blocks = blocks
        self.inputCount = inputCount
        self.outputCount = outputCount
        self.scratchCount = scratchCount
        self.pool = pool
    }

    /// Elements of input `index`.
    @_lifetime(borrow self)
    package func input<T: BitwiseCopyable>(_ index: Int, as type: T.Type = T.self) -> Span<T> {
        precondition(index >= 0 && index < inputCount)
        let block = unsafe blocks[index]
        let span = unsafe Span<T>(
            _unsafeStart: UnsafePointer(block.base.assumingMemoryBound(to: T.self)),
            count: block.byteCount / MemoryLayout<T>.stride)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Elements of output `index`; none of one that nobody has asked for.
    @_lifetime(borrow self)
    package func output<T: BitwiseCopyable>(_ index: Int = 0, as type: T.Type = T.self) -> MutableSpan<T> {
        precondition(index >= 0)
        guard index < outputCount else { return MutableSpan() }
        let span = unsafe elements(of: blocks[inputCount + index], as: T.self)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Elements of a scratch block.
    @_lifetime(borrow self)
    package func scratch<T: BitwiseCopyable>(_ scratch: Scratch, as type: T.Type = T.self) -> MutableSpan<T> {
        precondition(scratch.index < scratchCount)
        let span = unsafe elements(of: blocks[inputCount + outputCount + scratch.index], as: T.self)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Elements of a scratch block that are only read.
    @_lifetime(borrow self)
    package func written<T: BitwiseCopyable>(_ scratch: Scratch, as type: T.Type = T.self) -> Span<T> {
        precondition(scratch.index < scratchCount)
        let block = unsafe blocks[inputCount + outputCount + scratch.index]
        let span = unsafe Span<T>(
            _unsafeStart: UnsafePointer(block.base.assumingMemoryBound(to: T.self)),
            count: block.byteCount / MemoryLayout<T>.stride)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// A variable tensor (state), which is an input that the operator also writes.
    @_lifetime(borrow self)
    package func variable<T: BitwiseCopyable>(_ index: Int, as type: T.Type = T.self) -> MutableSpan<T> {
        precondition(index >= 0 && index < inputCount)
        let span = unsafe elements(of: blocks[index], as: T.self)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    @_lifetime(immortal)
    @unsafe private func elements<T: BitwiseCopyable>(of block: Block, as type: T.Type) -> MutableSpan<T> {
        let span = unsafe MutableSpan<T>(
            _unsafeStart: block.base.assumingMemoryBound(to: T.self), count: block.byteCount / MemoryLayout<T>.stride)
        return unsafe _overrideLifetime(span, copying: ())
    }
}
