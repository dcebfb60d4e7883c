import CEdgeOpt
import Kernels
import Model
import Operators

enum Action {
    case kernel(Kernel)
    /// Input 0 to output 0, byte by byte.
    case copy
    /// The delegate of that number runs the step's item.
    case delegate(Int)
    /// Other subgraphs.
    case call(SubgraphCall)
}

/// A step before it has memory.
struct StepPlan {
    let item: Item
    let action: Action
    /// Numbers of its scratch blocks.
    let scratch: [Int]

    init(_ item: Item, action: Action, scratch: [Int] = []) {
        self.item = item
        self.action = action
        self.scratch = scratch
    }
}

/// A part of the graph that can be planned before any of it runs: all of it, unless shapes depend on values.
struct SegmentPlan {
    let steps: [StepPlan]
    let items: [Item]
    let layout: Layout
    /// With the shapes of this segment.
    let graph: Graph
    /// What can only be planned when this segment has run.
    let rest: Graph?
}

/// Numbers of a step as it runs: no reference is counted when they are read.
struct Step {
    enum Kind { case kernel, copy, delegate, call }
    let kind: Kind
    /// Which of the segment's kernels, partitions or calls it is.
    let number: Int
    /// Index of its first block.
    let first: Int
    let inputs: Int
    let outputs: Int
    let scratches: Int
    /// Operator of the model, for reports.
    let place: Int
}

/// An array of functions themselves would call each through another.
struct PreparedKernel {
    let run: Kernel
}

/// A segment with its memory, ready to run.
@safe final class Segment {
    let steps: [Step]
    let kernels: [PreparedKernel]
    let partitions: [Partition]
    /// The steps that run other subgraphs.
    let calls: [SubgraphCall]
    /// Of the steps' operators.
    let names: [String]
    let rest: Graph?
    let arena: Storage
    let blocks: UnsafeMutablePointer<Invocation.Block>
    let blockCount: Int
    /// Tensor of each block; -1: scratch, or an optional input left out.
    let blockTensors: [Int]
    /// Values its first step was planned for, with the tensors they are of.
    var values: [Int: Bytes] = [:]

    init(_ plan: SegmentPlan, _ compiler: Compiler, memory: inout Memory) throws(Failure) {
        arena = try Storage.pages(plan.layout.arenaSize)
        memory.place(plan, arena: arena)
        rest = plan.rest
        var tensors: [Int] = []
        var scratches: [Int] = []
        var steps: [Step] = []
        var (kernels, partitions, calls): ([PreparedKernel], [Partition], [SubgraphCall]) = ([], [], [])
        for step in plan.steps {
            let item = step.item
            let (kind, number): (Step.Kind, Int)
            switch step.action {
            case .kernel(let kernel):
                (kind, number) = (.kernel, kernels.count)
                kernels.append(PreparedKernel(run: kernel))
            case .copy: (kind, number) = (.copy, 0)
            case .delegate(let delegate):
                (kind, number) = (.delegate, partitions.count)
                partitions.append(Partition(item, delegate: delegate, plan.graph, compiler))
            case .call(let call):
                (kind, number) = (.call, calls.count)
                calls.append(call)
            }
            steps.append(
                Step(
                    kind: kind, number: number, first: tensors.count, inputs: item.inputs.count,
                    outputs: item.outputs.count, scratches: step.scratch.count, place: item.nodes[0].place))
            tensors += item.inputs + item.outputs + step.scratch.map { _ in -1 }
            scratches += [Int](repeating: -1, count: item.inputs.count + item.outputs.count) + step.scratch
        }
        self.steps = steps
        (self.kernels, self.partitions, self.calls) = (kernels, partitions, calls)
        names = plan.steps.map { $0.item.nodes[0].name }
        blockTensors = tensors
        blockCount = tensors.count
        unsafe blocks = .allocate(capacity: max(1, tensors.count))
        for (index, tensor) in tensors.enumerated() {
            var block = Invocation.Block.empty
            if tensor >= 0 {
                block = unsafe Invocation.Block(
                    base: memory.address(of: tensor), byteCount: plan.graph.byteCount(tensor))
            } else if scratches[index] >= 0 {
                let number = scratches[index]
                block = unsafe Invocation.Block(
                    base: arena.address + plan.layout.scratchOffsets[number],
                    byteCount: plan.layout.scratchSize(number))
            }
            unsafe (blocks + index).initialize(to: block)
        }
    }

    deinit { unsafe blocks.deallocate() }

    func invocation(_ step: Step, _ pool: ThreadPool) -> Invocation {
        unsafe Invocation(
            blocks: blocks + step.first, inputCount: step.inputs, outputCount: step.outputs,
            scratchCount: step.scratches, pool: pool)
    }

    /// Shows the tensors that a step has written.
    func show(_ step: Step, to observer: Observer) {
        for index in step.first + step.inputs..<step.first + step.inputs + step.outputs where blockTensors[index] >= 0 {
            let block = unsafe blocks[index]
            observer(blockTensors[index], unsafe RawSpan(_unsafeStart: block.base, byteCount: block.byteCount))
        }
    }

    /// Blocks that hold tensors of `endpoint` get another address.
    func move(_ blockIndices: [Int], to address: UnsafeMutableRawPointer) {
        for index in blockIndices { unsafe blocks[index].base = unsafe address }
    }
}
