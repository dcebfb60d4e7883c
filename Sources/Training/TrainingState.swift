import Model

/// What a transform of the graph leaves with the trainer: numbers beside the parameters that follow what each step
/// computes (ranges of quantization, statistics of batches). Tensors are those of the main subgraph of the transformed
/// model. One thread at a time.
package protocol TrainingState: AnyObject {
    /// Constant float tensors that the trainer keeps and the graph reads; the constants are their first values.
    var states: [Int] { get }
    /// Constant float tensors that are trained like parameters, but do not decay.
    var learned: [Int] { get }
    /// Float tensors that `update` looks at.
    var observed: [Int] { get }

    /// Parameters that have no effect any more and are left alone.
    var replaced: [Int] { get }

    /// True until `begin` has seen a batch, with the graph of evaluation and the first values of the states.
    var needsBeginning: Bool { get }
    func begin(_ values: borrowing StateValues)

    /// After the forward and backward pass of a step (from 0), before the optimizer; and for each batch of a
    /// calibration, with the step that would be next.
    func update(_ values: borrowing StateValues, step: Int)

    /// A batch can be shown in parts, each of which `observe` is told of before the next one.
    var takesParts: Bool { get }
    func observe(_ values: borrowing StateValues, isFirst: Bool)

    /// What `restore` needs to go on from here, beside the states.
    var memory: [UInt8] { get }
    /// Throws `EO_INVALID_ARGUMENT` for bytes that are no such memory.
    func restore(_ memory: [UInt8]) throws(Failure)

    /// What is to be done to the model that is exported.
    func export(_ model: Model, _ values: borrowing StateValues) throws(Failure) -> Model
}

extension TrainingState {
    package var replaced: [Int] { [] }
    package var needsBeginning: Bool { false }
    package func begin(_ values: borrowing StateValues) {}
    package var takesParts: Bool { false }
    package func observe(_ values: borrowing StateValues, isFirst: Bool) {}
    package var memory: [UInt8] { [] }
    package func restore(_ memory: [UInt8]) throws(Failure) {
        guard memory.isEmpty else { throw .invalidArgument("the state has no memory, but the checkpoint has") }
    }
    package func export(_ model: Model, _ values: borrowing StateValues) throws(Failure) -> Model { model }
}

/// The numbers of one `TrainingState`, in the order of its lists.
package struct StateValues {
    let states: [FloatMemory]
    let learned: [FloatMemory]
    let observed: [FloatMemory]

    /// The same numbers, with places of their own for what is observed.
    func besides() throws(Failure) -> StateValues {
        var places: [FloatMemory] = []
        for memory in observed { places.append(try FloatMemory.make(memory.count)) }
        return StateValues(states: states, learned: learned, observed: places)
    }

    @_lifetime(borrow self)
    package func observed(_ index: Int) -> Span<Float> {
        let memory = observed[index]
        let span = unsafe Span(_unsafeStart: UnsafePointer(memory.address), count: memory.count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    @_lifetime(borrow self)
    package func learned(_ index: Int) -> Span<Float> {
        let memory = learned[index]
        let span = unsafe Span(_unsafeStart: UnsafePointer(memory.address), count: memory.count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    @_lifetime(borrow self)
    package func state(_ index: Int) -> MutableSpan<Float> {
        let memory = states[index]
        let span = unsafe MutableSpan(_unsafeStart: memory.address, count: memory.count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    package func set(state index: Int, _ place: Int, _ value: Float) {
        var span = state(index)
        span[place] = value
    }

    /// Only while training begins: afterwards they are the optimizer's.
    package func set(learned index: Int, _ place: Int, _ value: Float) {
        let memory = learned[index]
        precondition(place >= 0 && place < memory.count)
        unsafe memory.address[place] = value
    }
}

extension StateValues {
    func stateValues(_ index: Int) -> [Float] { states[index].values }
    func learnedValues(_ index: Int) -> [Float] { index < learned.count ? learned[index].values : [] }
}
