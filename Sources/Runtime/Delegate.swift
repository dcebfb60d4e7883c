import CEdgeOpt
import Model
import Operators

/// Somebody else who runs parts of a graph: an accelerator, or a library. Each call may fail; the CPU then takes over.
package protocol Delegate: AnyObject {
    var name: String { get }
    /// Why the delegate does not run this operator; nil: it does.
    func refusal(of op: DelegateOperator) -> String?
    /// Makes a partition ready. The kernel is released when nobody holds it any more.
    func prepare(_ partition: DelegatePartition) throws(Failure) -> any DelegateKernel
}

/// A partition that a delegate has made ready.
package protocol DelegateKernel: AnyObject {
    /// The same partition with other shapes. False: the delegate cannot; a new kernel is prepared.
    func resize(_ partition: DelegatePartition) throws(Failure) -> Bool
    /// Runs it. The buffers are in the partition's order; when it returns the outputs are there.
    @unsafe func invoke(_ inputs: UnsafePointer<eo_buffer>, _ outputs: UnsafePointer<eo_buffer>) throws(Failure)
}

/// A tensor by its index in the subgraph, with its present shape.
package struct DelegateTensor {
    package let index: Int
    package let info: TensorInfo
}

/// The operator a delegate is asked about.
package struct DelegateOperator {
    package let subgraph: Int
    package let index: Int
    /// nil: an optional input left out.
    package let inputs: [DelegateTensor?]
    package let outputs: [DelegateTensor]
}

/// A maximal connected part of a graph whose operators one delegate takes.
package struct DelegatePartition {
    package let subgraph: Int
    /// In execution order.
    package let operators: [Int]
    /// What it reads from outside; constants have their data.
    package let inputs: [DelegateTensor]
    package let outputs: [DelegateTensor]
    package let threadCount: Int

    /// The same tensors in the same shapes: what was prepared for one serves the other.
    func hasShapes(of other: DelegatePartition) -> Bool {
        threadCount == other.threadCount
            && inputs.map { $0.info.shape } == other.inputs.map { $0.info.shape }
            && outputs.map { $0.info.shape } == other.outputs.map { $0.info.shape }
    }

    func isSamePart(as other: DelegatePartition) -> Bool {
        operators == other.operators && inputs.map { $0.index } == other.inputs.map { $0.index }
            && outputs.map { $0.index } == other.outputs.map { $0.index }
    }
}

/// A partition of a compiled graph, with the delegate's kernel and the memory of its calls.
@safe final class Partition {
    let delegate: Int
    let item: Item
    let description: DelegatePartition
    /// nil: the CPU runs it.
    var kernel: (any DelegateKernel)?
    /// Why the CPU runs it.
    var failure = ""
    /// For the CPU, should it have to take over.
    let graph: Graph
    /// The CPU's version, once the delegate has failed.
    var fallback: Segment?
    private let buffers: UnsafeMutablePointer<eo_buffer>

    init(_ item: Item, delegate: Int, _ graph: Graph, _ compiler: Compiler) {
        self.item = item
        self.delegate = delegate
        self.graph = graph
        func tensors(_ indices: [Int]) -> [DelegateTensor] {
            indices.map { DelegateTensor(index: $0, info: graph.tensors[$0]) }
        }
        description = DelegatePartition(
            subgraph: compiler.subgraph, operators: item.nodes.map { $0.place }, inputs: tensors(item.inputs),
            outputs: tensors(item.outputs), threadCount: compiler.threadCount)
        unsafe buffers = .allocate(capacity: max(1, item.inputs.count + item.outputs.count))
    }

    deinit { unsafe buffers.deallocate() }

    /// Gets a kernel: that of the same partition in `old` if it serves or can be resized, else a new one.
    func attach(_ owner: any Delegate, old: [Partition]) throws(Failure) {
        let before = old.first { $0.delegate == delegate && $0.description.isSamePart(as: description) }
        if let before, let known = before.kernel {
            before.kernel = nil
            var serves = before.description.hasShapes(of: description)
            if !serves { serves = try known.resize(description) }
            if serves {
                kernel = known
                return
            }
        }
        kernel = try owner.prepare(description)
    }

    /// Runs the kernel on the memory its tensors have now.
    func invoke(_ kernel: any DelegateKernel, _ blocks: UnsafePointer<Invocation.Block>) throws(Failure) {
        let inputs = item.inputs.count
        for index in 0..<inputs + item.outputs.count {
            let block = unsafe blocks[index]
            unsafe (buffers + index).initialize(
                to: eo_buffer(kind: EO_BUFFER_HOST, data: block.base, size: block.byteCount, handle: nil))
        }
        try unsafe kernel.invoke(buffers, buffers + inputs)
    }
}
